// Index generator by rejection: position = state - 1, and states above M are skipped, a clock each
// (twofold.masks.kinds: Rejection).
//
// No position comes twice in a period, so there is no scratch memory, no multiplier, and no clearing. A register of
// bit_length(M) bits skips fewer than half of its states. Handshake, KEPT and `rst`: see lig.v.
`default_nettype none
module lig_rejection #(
    parameter integer DEGREE = 9,
    parameter [63:0] TAPS = DEGREE == 9 ? 64'b000010001 : 64'b0,  // here x^9 + x^4 + 1
    parameter [63:0] SEED = 1,                                    // any state but 0
    parameter integer M = 300,                                    // positions, 2 to 2^DEGREE - 1
    parameter integer KEPT = 0,                                   // indices in one walk; 0: no end
    parameter integer GALOIS = 0,
    parameter integer WIDTH = $clog2(M)
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             ready,
    output wire             valid,
    output wire [WIDTH-1:0] index,
    output wire             last
);
    lfsr_check #(.DEGREE(DEGREE), .TAPS(TAPS), .SEED(SEED), .LONGEST(31)) check ();

    generate  // see lfsr_check.v
        if (M < 2 || (M >> DEGREE) != 0) begin : g_size
            M_must_be_2_to_the_states_of_the_register refused ();
        end
        if (KEPT < 0 || KEPT > M) begin : g_kept
            KEPT_is_beyond_what_the_walk_reaches refused ();
        end
    endgenerate

    localparam integer COUNT = KEPT > 1 ? $clog2(KEPT) : 1;
    localparam integer HIGHEST = KEPT > 1 ? KEPT - 1 : 0;

    lig_rejection_core #(
        .DEGREE(DEGREE), .WIDTH(WIDTH), .COUNT(COUNT), .GALOIS(GALOIS), .ENDLESS(KEPT == 0 ? 1 : 0)
    ) core (
        .clk(clk), .rst(rst), .ready(ready), .valid(valid), .index(index), .last(last),
        .size(M[DEGREE-1:0]), .seed(SEED[DEGREE-1:0]), .taps(TAPS[DEGREE-1:0]), .highest(HIGHEST[COUNT-1:0]),
        .top({1'b1, {(DEGREE - 1){1'b0}}})
    );
endmodule
`default_nettype wire
