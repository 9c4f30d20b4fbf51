// Counts the indices of a walk and says when the last one is offered: `last` is high from the moment that KEPT - 1
// of them are taken until `restart`, the edge at which the last one is. KEPT = 0 is a walk without an end.
//
// `take`: at the next rising edge an index is taken.
`default_nettype none
module walk_end #(
    parameter integer KEPT = 0
) (
    input  wire clk,
    input  wire rst,
    input  wire restart,
    input  wire take,
    output wire last
);
    generate
        if (KEPT != 0) begin : g_count
            localparam integer COUNT = KEPT > 1 ? $clog2(KEPT) : 1;
            localparam [31:0] FINAL = KEPT - 1;
            reg [COUNT-1:0] count;
            assign last = count == FINAL[COUNT-1:0];
            always @(posedge clk)
                if (rst || restart) count <= {COUNT{1'b0}};
                else if (take) count <= count + 1'b1;
        end else begin : g_endless
            assign last = 1'b0;
            /* verilator lint_off UNUSEDSIGNAL */  // nothing is counted
            wire unused = &{clk, rst, restart, take};
            /* verilator lint_on UNUSEDSIGNAL */
        end
    endgenerate
endmodule
`default_nettype wire
