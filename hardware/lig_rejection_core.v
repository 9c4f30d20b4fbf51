// What lig_rejection.v and lig_rejection_any.v share: rejection with size, polynomial, seed and number of indices as
// inputs that nobody checks. lig_rejection.v makes constants of them and checks those, lig_rejection_any.v checks the
// inputs. See lig_rejection.v for what it does.
`default_nettype none
module lig_rejection_core #(
    parameter integer DEGREE = 16,       // of the longest register
    parameter integer WIDTH = DEGREE,    // of an index
    parameter integer COUNT = DEGREE,    // width of the counter of indices
    parameter integer GALOIS = 0,
    parameter integer ENDLESS = 0
) (
    input  wire              clk,
    input  wire              rst,
    input  wire [DEGREE-1:0] size,     // M, 2 to 2^n - 1 for a register of n bits
    input  wire [DEGREE-1:0] seed,     // any state but 0
    input  wire [DEGREE-1:0] taps,
    input  wire [DEGREE-1:0] top,      // 2^(n-1)
    input  wire [COUNT-1:0]  highest,  // indices in one walk, less 1
    input  wire              ready,
    output wire              valid,
    output wire [WIDTH-1:0]  index,
    output wire              last
);
    wire [DEGREE-1:0] state;
    /* verilator lint_off CMPCONST */  // where M is 2^DEGREE - 1, no state is skipped
    wire hit = state <= size;
    /* verilator lint_on CMPCONST */

    assign valid = !rst && hit;
    assign index = state[WIDTH-1:0] - 1'b1;

    wire take    = valid && ready;
    wire restart = take && last;

    lfsr_any #(.DEGREE(DEGREE), .GALOIS(GALOIS)) register (
        .clk(clk), .load(rst || restart), .step(take || !hit), .state(state), .seed(seed), .taps(taps), .top(top)
    );

    /* verilator lint_off PINCONNECTEMPTY */
    walk_end #(.WIDTH(COUNT), .ENDLESS(ENDLESS)) walk (
        .clk(clk), .rst(rst), .restart(restart), .take(take), .highest(highest), .last(last), .count()
    );
    /* verilator lint_on PINCONNECTEMPTY */
endmodule
`default_nettype wire
