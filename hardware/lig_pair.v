// Row and column indices from two generators that are clocked together, as twofold.masks.pairs.pair_mask defines it.
//
// The widths of the two registers must be coprime: otherwise their periods share a factor g, and the pair walks only
// 1/g of the matrix. First sights are recognized on {column, row} side by side, which saves the multiplication
// column * ROWS at the price of scratch bits where ROWS is no power of two. Handshake, KEPT and `rst`: see lig.v.
`default_nettype none
module lig_pair #(
    parameter integer ROW_DEGREE = 7,
    parameter [63:0] ROW_TAPS = ROW_DEGREE == 7 ? 64'b0000011 : 64'b0,        // here x^7 + x + 1
    parameter [63:0] ROW_SEED = 1,
    parameter integer COLUMN_DEGREE = 5,                                      // no divisor in common with ROW_DEGREE
    parameter [63:0] COLUMN_TAPS = COLUMN_DEGREE == 5 ? 64'b00101 : 64'b0,    // here x^5 + x^2 + 1
    parameter [63:0] COLUMN_SEED = 1,
    parameter integer ROWS = 27,                                              // inputs of the layer, 2 or more
    parameter integer COLUMNS = 16,                                           // outputs of the layer, 2 or more
    parameter integer KEPT = 0,
    parameter integer MODULO = 0,
    parameter integer GALOIS = 0,
    parameter integer ROW_WIDTH = $clog2(ROWS),
    parameter integer COLUMN_WIDTH = $clog2(COLUMNS)
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire                    ready,
    output wire                    valid,
    output wire [ROW_WIDTH-1:0]    row,
    output wire [COLUMN_WIDTH-1:0] column,
    output wire                    last
);
    localparam integer WIDTH = ROW_WIDTH + COLUMN_WIDTH;
    localparam integer COUNT = KEPT > 1 ? $clog2(KEPT) : 1;
    localparam integer HIGHEST = KEPT > 1 ? KEPT - 1 : 0;

    function integer common_divisor(input integer a, input integer b);
        integer larger, smaller, rest;
        begin
            larger = a;
            smaller = b;
            while (smaller != 0) begin
                rest = larger % smaller;
                larger = smaller;
                smaller = rest;
            end
            common_divisor = larger;
        end
    endfunction

    function integer reach(input integer size, input integer degree);  // the states other than 0, or all positions
        reach = (size >> degree) != 0 ? (1 << degree) - 1 : size;
    endfunction

    generate  // see lfsr_check.v
        if (common_divisor(ROW_DEGREE, COLUMN_DEGREE) != 1) begin : g_degrees
            ROW_DEGREE_and_COLUMN_DEGREE_must_be_coprime refused ();
        end
        if (KEPT < 0 || KEPT > reach(ROWS, ROW_DEGREE) * reach(COLUMNS, COLUMN_DEGREE)) begin : g_kept
            KEPT_is_beyond_what_the_walk_reaches refused ();
        end
    endgenerate

    wire [ROW_WIDTH-1:0]    raw_row;
    wire [COLUMN_WIDTH-1:0] raw_column;
    wire                    take;
    wire                    restart = valid && ready && last;

    /* verilator lint_off PINCONNECTEMPTY */  // a raw generator has an index at each clock, and no last one
    lig #(
        .DEGREE(ROW_DEGREE), .TAPS(ROW_TAPS), .SEED(ROW_SEED), .M(ROWS),
        .MODULO(MODULO), .GALOIS(GALOIS), .DEDUP(0)
    ) rows (
        .clk(clk), .rst(rst || restart), .ready(take), .index(raw_row), .valid(), .last()
    );
    lig #(
        .DEGREE(COLUMN_DEGREE), .TAPS(COLUMN_TAPS), .SEED(COLUMN_SEED), .M(COLUMNS),
        .MODULO(MODULO), .GALOIS(GALOIS), .DEDUP(0)
    ) columns (
        .clk(clk), .rst(rst || restart), .ready(take), .index(raw_column), .valid(), .last()
    );
    /* verilator lint_on PINCONNECTEMPTY */

    first_sights #(.M(COLUMNS << ROW_WIDTH), .WIDTH(WIDTH)) dedup (
        .clk(clk), .rst(rst), .restart(restart), .raw({raw_column, raw_row}), .take(take),
        .index({column, row}), .valid(valid), .ready(ready)
    );

    /* verilator lint_off PINCONNECTEMPTY */
    walk_end #(.WIDTH(COUNT), .ENDLESS(KEPT == 0 ? 1 : 0)) walk (
        .clk(clk), .rst(rst), .restart(restart), .take(valid && ready), .highest(HIGHEST[COUNT-1:0]), .last(last),
        .count()
    );
    /* verilator lint_on PINCONNECTEMPTY */
endmodule
`default_nettype wire
