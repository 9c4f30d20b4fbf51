// Prints state, index and valid of the LIG at each of CLOCKS clocks, for tests/test_hardware.py to compare
// with the library. The parameters are set on iverilog's command line (-P).
`timescale 1ns / 1ps
module lig_tb;
    parameter integer DEGREE = 9;
    parameter [DEGREE-1:0] TAPS = 9'b000010001;
    parameter [DEGREE-1:0] SEED = 1;
    parameter integer M = 300;
    parameter integer MODULO = 0;
    parameter integer CLOCKS = 511;
    parameter integer STALL = 0;  // hold `ready` low at every STALL-th clock; 0: never

    reg clk = 0, rst = 1, ready = 0;
    wire valid;
    wire [$clog2(M)-1:0] index;
    integer t;

    lig #(.DEGREE(DEGREE), .TAPS(TAPS), .SEED(SEED), .M(M), .MODULO(MODULO)) dut (
        .clk(clk), .rst(rst), .ready(ready), .valid(valid), .index(index)
    );

    always #5 clk = !clk;

    initial begin
        @(negedge clk);
        @(negedge clk) rst = 0;
        for (t = 0; t < CLOCKS; t = t + 1) begin
            ready = STALL == 0 || t % STALL != 0;
            #1 $display("%0d %0d %0d %0d", dut.state, index, valid, ready);
            @(negedge clk);
        end
        $finish;
    end
endmodule
