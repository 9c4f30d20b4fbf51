// Prints what the LIG does at each of CLOCKS clocks, for companion.study.verilog to read. The parameters are set on
// iverilog's command line (-P). The first clock printed is the first after the scratch bits are cleared.
`timescale 1ns / 1ps
module lig_tb;
    parameter integer DEGREE = 9;
    parameter [DEGREE-1:0] TAPS = 9'b000010001;
    parameter [DEGREE-1:0] SEED = 1;
    parameter integer M = 300;
    parameter integer KEPT = 0;
    parameter integer MODULO = 0;
    parameter integer GALOIS = 0;
    parameter integer DEDUP = 1;
    parameter integer CLOCKS = 511;
    parameter integer STALL = 0;  // hold `ready` low at every STALL-th clock; 0: never

    reg clk = 0, rst = 1, ready = 0;
    wire valid, last;
    wire [$clog2(M)-1:0] index;
    integer t;

    lig #(
        .DEGREE(DEGREE), .TAPS(TAPS), .SEED(SEED), .M(M), .KEPT(KEPT),
        .MODULO(MODULO), .GALOIS(GALOIS), .DEDUP(DEDUP)
    ) dut (
        .clk(clk), .rst(rst), .ready(ready), .valid(valid), .index(index), .last(last)
    );

    always #5 clk = !clk;

    initial begin
        @(negedge clk);
        @(negedge clk) rst = 0;
        if (DEDUP != 0) repeat (M) @(negedge clk);
        for (t = 0; t < CLOCKS; t = t + 1) begin
            ready = STALL == 0 || t % STALL != 0;
            #1 $display("%0d %0d %0d %0d %0d %0d", dut.state, dut.raw, index, valid, ready, last);
            @(negedge clk);
        end
        $finish;
    end
endmodule
