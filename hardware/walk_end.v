// Counts the indices of a walk and says when the last one is offered: `last` is high while `count` is `highest`, that
// is, from the moment that all indices but one are taken until `restart`, the edge at which the last one is.
// ENDLESS = 1 is a walk without an end: `last` stays low, and `count` runs over.
//
// `take`: at the next rising edge an index is taken.
`default_nettype none
module walk_end #(
    parameter integer WIDTH = 8,
    parameter integer ENDLESS = 0
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             restart,
    input  wire             take,
    input  wire [WIDTH-1:0] highest,  // the number of indices in a walk, less 1
    output reg  [WIDTH-1:0] count,
    output wire             last
);
    assign last = ENDLESS == 0 && count == highest;

    always @(posedge clk)
        if (rst || restart) count <= {WIDTH{1'b0}};
        else if (take) count <= count + 1'b1;
endmodule
`default_nettype wire
