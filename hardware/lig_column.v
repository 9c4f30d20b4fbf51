// Index generator column by column: the kept rows of one column, then those of the next
// (twofold.masks.kinds: ColumnByColumn). Where columns share their indices, a column here is a group of them.
//
// A de Bruijn register runs through the rows. In column j the row is its state XOR the low bits of the j-th state of an
// outer register, which steps once a column; states beyond the last row are skipped, a clock each. After KEPT rows the
// next column begins, and the register goes on. No position comes twice, and each column keeps as many rows.
//
// `row` and `column` are the index. Handshake and `rst`: see lig.v; a walk is COLUMNS * KEPT indices.
`default_nettype none
module lig_column #(
    parameter integer DEGREE = 5,
    parameter [63:0] TAPS = DEGREE == 5 ? 64'b00101 : 64'b0,              // here x^5 + x^2 + 1
    parameter [63:0] SEED = 1,                                            // any state but 0
    parameter integer OUTER_DEGREE = 5,                                   // DEGREE or more
    parameter [63:0] OUTER_TAPS = OUTER_DEGREE == 5 ? 64'b01001 : 64'b0,  // in the library TAPS and
    parameter [63:0] OUTER_SEED = 16,                                     // SEED read backwards
    parameter integer ROWS = 27,                                          // 2 to 2^DEGREE
    parameter integer COLUMNS = 16,                                       // 1 to 2^OUTER_DEGREE - 1
    parameter integer KEPT = 14,                                          // rows kept in each column, 1 to ROWS
    parameter integer ROW_WIDTH = $clog2(ROWS),
    parameter integer COLUMN_WIDTH = COLUMNS > 1 ? $clog2(COLUMNS) : 1
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire                    ready,
    output wire                    valid,
    output wire [ROW_WIDTH-1:0]    row,
    output wire [COLUMN_WIDTH-1:0] column,
    output wire                    last
);
    generate  // see lfsr_check.v
        if (ROWS < 2 || ((ROWS - 1) >> DEGREE) != 0) begin : g_rows
            ROWS_must_be_2_to_the_states_of_the_register refused ();
        end
        if (OUTER_DEGREE < DEGREE || COLUMNS < 1 || (COLUMNS >> OUTER_DEGREE) != 0) begin : g_outer
            OUTER_DEGREE_must_reach_DEGREE_and_every_column refused ();
        end
        if (KEPT < 1 || KEPT > ROWS) begin : g_kept
            KEPT_must_be_1_to_ROWS refused ();
        end
    endgenerate

    localparam integer COUNT = KEPT > 1 ? $clog2(KEPT) : 1;
    localparam integer HIGHEST_ROW = KEPT - 1, HIGHEST_COLUMN = COLUMNS - 1;

    wire [DEGREE-1:0] state;
    /* verilator lint_off UNUSEDSIGNAL */  // the outer register may be wider, so that it has a state for each column
    wire [OUTER_DEGREE-1:0] scramble;
    /* verilator lint_on UNUSEDSIGNAL */
    wire [DEGREE-1:0] scrambled = state ^ scramble[DEGREE-1:0];
    wire              hit       = {1'b0, scrambled} < ROWS[DEGREE:0];

    assign valid = !rst && hit;
    assign row   = scrambled[ROW_WIDTH-1:0];

    wire last_row, last_column;
    wire take    = valid && ready;
    wire next    = take && last_row;
    wire restart = next && last_column;

    assign last = last_row && last_column;

    lfsr #(.DEGREE(DEGREE), .TAPS(TAPS), .SEED(SEED), .DE_BRUIJN(1), .LONGEST(31)) register (
        .clk(clk), .load(rst || restart), .step(take || !hit), .state(state)
    );
    /* verilator lint_off PINCONNECTEMPTY */
    walk_end #(.WIDTH(COUNT)) rows (
        .clk(clk), .rst(rst), .restart(next), .take(take), .highest(HIGHEST_ROW[COUNT-1:0]), .last(last_row), .count()
    );
    /* verilator lint_on PINCONNECTEMPTY */

    // The columns. Where one sequence of rows serves all of them, the scramble is a constant.
    generate
        if (COLUMNS > 1) begin : g_columns
            lfsr #(.DEGREE(OUTER_DEGREE), .TAPS(OUTER_TAPS), .SEED(OUTER_SEED), .LONGEST(31)) outer (
                .clk(clk), .load(rst || restart), .step(next), .state(scramble)
            );
            walk_end #(.WIDTH(COLUMN_WIDTH)) columns (
                .clk(clk), .rst(rst), .restart(restart), .take(next), .highest(HIGHEST_COLUMN[COLUMN_WIDTH-1:0]),
                .last(last_column), .count(column)
            );
        end else begin : g_one
            lfsr_check #(.DEGREE(OUTER_DEGREE), .TAPS(OUTER_TAPS), .SEED(OUTER_SEED), .LONGEST(31)) check ();
            assign scramble    = OUTER_SEED[OUTER_DEGREE-1:0];
            assign column      = 1'b0;
            assign last_column = 1'b1;
        end
    endgenerate
endmodule
`default_nettype wire
