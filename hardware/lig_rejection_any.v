// Rejection with the size M, the polynomial, the seed and the number of indices as inputs: one block for the layers of a
// network, one after the other. The inputs stand still while `rst` is low. See lig_rejection.v for what it does, and
// lig_any.v for `error`.
`default_nettype none
module lig_rejection_any #(
    parameter integer DEGREE = 16,       // of the longest register
    parameter integer WIDTH = DEGREE,    // of an index
    parameter integer COUNT = DEGREE,    // width of the counter of indices
    parameter integer GALOIS = 0,
    parameter integer ENDLESS = 0
) (
    input  wire              clk,
    input  wire              rst,
    input  wire [DEGREE-1:0] size,     // M, 2 to 2^n - 1 for a register of n bits, and to 2^WIDTH
    input  wire [DEGREE-1:0] seed,     // any state but 0
    input  wire [DEGREE-1:0] taps,     // bit 0 is set
    input  wire [DEGREE-1:0] top,      // 2^(n-1), n being 2 or more
    input  wire [COUNT-1:0]  highest,  // indices in one walk, less 1; below `size`
    input  wire              ready,
    output wire              valid,
    output wire [WIDTH-1:0]  index,
    output wire              last,
    output wire              error
);
    wire [DEGREE-1:0] states;
    wire              no_register, beyond_size;

    lfsr_check_any #(.DEGREE(DEGREE)) check (
        .seed(seed), .taps(taps), .top(top), .states(states), .error(no_register)
    );
    walk_check #(.WIDTH(DEGREE), .COUNT(COUNT), .ENDLESS(ENDLESS)) positions (
        .reach(size), .highest(highest), .error(beyond_size)
    );

    wire beyond_index = ((size - 1'b1) >> WIDTH) != 0;

    assign error = no_register || size < 2 || (size & ~states) != 0 || beyond_index || beyond_size;

    lig_rejection_core #(
        .DEGREE(DEGREE), .WIDTH(WIDTH), .COUNT(COUNT), .GALOIS(GALOIS), .ENDLESS(ENDLESS)
    ) core (
        .clk(clk), .rst(rst || error), .size(size), .seed(seed), .taps(taps), .top(top), .highest(highest),
        .ready(ready), .valid(valid), .index(index), .last(last)
    );
endmodule
`default_nettype wire
