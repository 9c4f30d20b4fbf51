// A register of one polynomial and one seed: lfsr_any.v, its inputs being constants.
`default_nettype none
module lfsr #(
    parameter integer DEGREE = 9,
    parameter [63:0] TAPS = DEGREE == 9 ? 64'b000010001 : 64'b0,  // here x^9 + x^4 + 1
    parameter [63:0] SEED = 1,
    parameter integer GALOIS = 0,
    parameter integer DE_BRUIJN = 0,
    parameter integer LONGEST = 64
) (
    input  wire              clk,
    input  wire              load,
    input  wire              step,
    output wire [DEGREE-1:0] state
);
    lfsr_check #(.DEGREE(DEGREE), .TAPS(TAPS), .SEED(SEED), .LONGEST(LONGEST)) check ();

    lfsr_any #(.DEGREE(DEGREE), .GALOIS(GALOIS), .DE_BRUIJN(DE_BRUIJN)) register (
        .clk(clk), .load(load), .step(step), .state(state),
        .seed(SEED[DEGREE-1:0]), .taps(TAPS[DEGREE-1:0]), .top({1'b1, {(DEGREE - 1){1'b0}}})
    );
endmodule
`default_nettype wire
