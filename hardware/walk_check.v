// Says whether a walk is longer than it can be: `highest` + 1 indices, where no more than `reach` are different.
// A walk without an end (ENDLESS = 1) is never.
`default_nettype none
module walk_check #(
    parameter integer WIDTH = 9,
    parameter integer COUNT = 8,
    parameter integer ENDLESS = 0
) (
    input  wire [WIDTH-1:0] reach,
    input  wire [COUNT-1:0] highest,
    output wire             error
);
    assign error = ENDLESS == 0 && {{WIDTH{1'b0}}, highest} >= {{COUNT{1'b0}}, reach};
endmodule
`default_nettype wire
