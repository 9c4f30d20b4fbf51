// What lig.v and lig_any.v share: multiply-shift and modulo with size, seed, taps and number of indices as inputs that
// nobody checks. lig.v makes constants of them and checks those, lig_any.v checks the inputs. See lig.v for what it does.
`default_nettype none
module lig_core #(
    parameter integer DEGREE = 31,
    parameter integer WIDTH = 16,           // of an index; M is 2 to 2^WIDTH
    parameter integer COUNT = 16,           // width of the counter of indices
    parameter integer SCRATCH = 1 << WIDTH,  // positions that first sights has scratch bits for, M or more
    parameter integer MODULO = 0,
    parameter integer GALOIS = 0,
    parameter integer DEDUP = 1,
    parameter integer ENDLESS = 0
) (
    input  wire              clk,
    input  wire              rst,
    input  wire [WIDTH:0]    size,     // M
    input  wire [DEGREE-1:0] seed,     // any state but 0
    input  wire [DEGREE-1:0] taps,
    input  wire [COUNT-1:0]  highest,  // indices in one walk, less 1
    input  wire              ready,
    output wire              valid,
    output wire [WIDTH-1:0]  index,
    output wire              last
);
    // The register. `take`: its index is consumed at the next edge, and the register steps.
    wire [DEGREE-1:0] state;
    wire              take;
    wire              restart = valid && ready && last;

    lfsr_any #(.DEGREE(DEGREE), .GALOIS(GALOIS)) register (
        .clk(clk), .load(rst || restart), .step(take), .state(state),
        .seed(seed), .taps(taps), .top({1'b1, {(DEGREE - 1){1'b0}}})
    );

    // The reduction. Where `size` is a constant, the multiplier is a few adders; a remainder is an array of
    // subtractors.
    wire [WIDTH-1:0] raw;

    /* verilator lint_off UNUSEDSIGNAL */  // the shift drops the fraction; a remainder's top bits are 0
    generate
        if (MODULO != 0) begin : g_modulo
            localparam integer WORD = DEGREE > WIDTH ? DEGREE : WIDTH + 1;
            wire [WORD-1:0] word = {{(WORD - DEGREE){1'b0}}, state};
            wire [WORD-1:0] rest = word % {{(WORD - WIDTH - 1){1'b0}}, size};
            assign raw = rest[WIDTH-1:0];
        end else begin : g_multiply
            wire [DEGREE+WIDTH-1:0] product = {{WIDTH{1'b0}}, state} * {{(DEGREE - 1){1'b0}}, size};
            assign raw = product[DEGREE+WIDTH-1:DEGREE];
        end
    endgenerate
    /* verilator lint_on UNUSEDSIGNAL */

    // Repeats.
    generate
        if (DEDUP != 0) begin : g_dedup
            first_sights #(.M(SCRATCH), .WIDTH(WIDTH)) dedup (
                .clk(clk), .rst(rst), .restart(restart), .raw(raw), .take(take),
                .index(index), .valid(valid), .ready(ready)
            );
        end else begin : g_raw
            assign index = raw;
            assign valid = !rst;
            assign take  = valid && ready;
        end
    endgenerate

    // The end of a walk.
    /* verilator lint_off PINCONNECTEMPTY */
    walk_end #(.WIDTH(COUNT), .ENDLESS(ENDLESS)) walk (
        .clk(clk), .rst(rst), .restart(restart), .take(valid && ready), .highest(highest), .last(last), .count()
    );
    /* verilator lint_on PINCONNECTEMPTY */
endmodule
`default_nettype wire
