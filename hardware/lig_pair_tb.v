// Prints what the pair does at each of CLOCKS clocks, for tests/study/test_hardware.py; see lig_tb.v.
`timescale 1ns / 1ps
module lig_pair_tb;
    parameter integer ROW_DEGREE = 7;
    parameter [ROW_DEGREE-1:0] ROW_TAPS = 7'b0000011;
    parameter [ROW_DEGREE-1:0] ROW_SEED = 1;
    parameter integer COLUMN_DEGREE = 5;
    parameter [COLUMN_DEGREE-1:0] COLUMN_TAPS = 5'b00101;
    parameter [COLUMN_DEGREE-1:0] COLUMN_SEED = 1;
    parameter integer ROWS = 27;
    parameter integer COLUMNS = 16;
    parameter integer KEPT = 0;
    parameter integer MODULO = 0;
    parameter integer GALOIS = 0;
    parameter integer CLOCKS = 3937;
    parameter integer STALL = 0;

    reg clk = 0, rst = 1, ready = 0;
    wire valid, last;
    wire [$clog2(ROWS)-1:0] row;
    wire [$clog2(COLUMNS)-1:0] column;
    integer t;

    lig_pair #(
        .ROW_DEGREE(ROW_DEGREE), .ROW_TAPS(ROW_TAPS), .ROW_SEED(ROW_SEED), .COLUMN_DEGREE(COLUMN_DEGREE),
        .COLUMN_TAPS(COLUMN_TAPS), .COLUMN_SEED(COLUMN_SEED), .ROWS(ROWS), .COLUMNS(COLUMNS), .KEPT(KEPT),
        .MODULO(MODULO), .GALOIS(GALOIS)
    ) dut (
        .clk(clk), .rst(rst), .ready(ready), .valid(valid), .row(row), .column(column), .last(last)
    );

    always #5 clk = !clk;

    initial begin
        @(negedge clk);
        @(negedge clk) rst = 0;
        repeat (COLUMNS << $clog2(ROWS)) @(negedge clk);
        for (t = 0; t < CLOCKS; t = t + 1) begin
            ready = STALL == 0 || t % STALL != 0;
            #1 $display("%0d %0d %0d %0d %0d %0d %0d", dut.rows.state, dut.columns.state, row, column, valid, ready, last);
            @(negedge clk);
        end
        $finish;
    end
endmodule
