// Multiply-shift and modulo with the size M, the seed, the taps and the number of indices as inputs: one block for the
// layers of a network, one after the other. The inputs stand still while `rst` is low. See lig.v for what it does.
//
// DEGREE is no input, since one long register (x^31 + x^3 + 1) serves layers of any size.
//
// `error` of this and the other blocks for all layers: an input is out of the range that is written beside it. While it
// is high the block stays in reset, `valid` low. It depends on nothing but those inputs: it can be read before `rst`
// falls, and no clock has to wait for it.
`default_nettype none
module lig_any #(
    parameter integer DEGREE = 31,
    parameter integer WIDTH = 16,            // of an index
    parameter integer COUNT = 16,            // width of the counter of indices
    parameter integer SCRATCH = 1 << WIDTH,  // positions that first sights has scratch bits for
    parameter integer MODULO = 0,
    parameter integer GALOIS = 0,
    parameter integer DEDUP = 1,
    parameter integer ENDLESS = 0
) (
    input  wire              clk,
    input  wire              rst,
    input  wire [WIDTH:0]    size,     // M, 2 to SCRATCH
    input  wire [DEGREE-1:0] seed,     // any state but 0
    input  wire [DEGREE-1:0] taps,     // bit 0 is set
    input  wire [COUNT-1:0]  highest,  // indices in one walk, less 1; with DEDUP = 1 below `size` and 2^DEGREE - 1
    input  wire              ready,
    output wire              valid,
    output wire [WIDTH-1:0]  index,
    output wire              last,
    output wire              error
);
    // Only a walk of first sights comes to an end of them.
    localparam integer ANY_LENGTH = ENDLESS != 0 || DEDUP == 0 ? 1 : 0;

    wire [DEGREE-1:0] states;
    wire              no_register, beyond_size, beyond_states;

    lfsr_check_any #(.DEGREE(DEGREE)) check (
        .seed(seed), .taps(taps), .top({1'b1, {(DEGREE - 1){1'b0}}}), .states(states), .error(no_register)
    );
    walk_check #(.WIDTH(WIDTH + 1), .COUNT(COUNT), .ENDLESS(ANY_LENGTH)) positions (
        .reach(size), .highest(highest), .error(beyond_size)
    );
    walk_check #(.WIDTH(DEGREE), .COUNT(COUNT), .ENDLESS(ANY_LENGTH)) period (
        .reach(states), .highest(highest), .error(beyond_states)
    );

    assign error = no_register || size < 2 || size > SCRATCH[WIDTH:0] || beyond_size || beyond_states;

    lig_core #(
        .DEGREE(DEGREE), .WIDTH(WIDTH), .COUNT(COUNT), .SCRATCH(SCRATCH), .MODULO(MODULO), .GALOIS(GALOIS),
        .DEDUP(DEDUP), .ENDLESS(ENDLESS)
    ) core (
        .clk(clk), .rst(rst || error), .size(size), .seed(seed), .taps(taps), .highest(highest),
        .ready(ready), .valid(valid), .index(index), .last(last)
    );
endmodule
`default_nettype wire
