// Row and column indices from two generators that are clocked together, as twofold.masks.pairs.pair_mask defines it.
//
// The widths of the two registers must be coprime: otherwise their periods share a factor g, and the pair walks only
// 1/g of the matrix. First sights are recognized on {column, row} side by side, which saves the multiplication
// column * ROWS at the price of scratch bits where ROWS is no power of two. Handshake, KEPT and `rst`: see lig.v.
`default_nettype none
module lig_pair #(
    parameter integer ROW_DEGREE = 7,
    parameter [ROW_DEGREE-1:0] ROW_TAPS = 7'b0000011,        // x^7 + x + 1
    parameter [ROW_DEGREE-1:0] ROW_SEED = 1,
    parameter integer COLUMN_DEGREE = 5,
    parameter [COLUMN_DEGREE-1:0] COLUMN_TAPS = 5'b00101,    // x^5 + x^2 + 1
    parameter [COLUMN_DEGREE-1:0] COLUMN_SEED = 1,
    parameter integer ROWS = 27,                             // inputs of the layer, 2 or more
    parameter integer COLUMNS = 16,                          // outputs of the layer, 2 or more
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

    wire [ROW_WIDTH-1:0]    raw_row;
    wire [COLUMN_WIDTH-1:0] raw_column;
    wire                    take;
    wire                    restart = valid && ready && last;

    /* verilator lint_off PINCONNECTEMPTY */  // a raw generator is always valid and never last
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

    walk_end #(.KEPT(KEPT)) walk (.clk(clk), .rst(rst), .restart(restart), .take(valid && ready), .last(last));
endmodule
`default_nettype wire
