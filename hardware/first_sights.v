// First sights: hands on each index of a stream when it comes for the first time in a walk, and steps over it later.
//
// One scratch bit for each of the M indices, in a memory of one synchronous read port and one write port, so that it
// can be an SRAM macro or a block RAM instead of M flip-flops. Each raw index costs one read; each index handed on
// costs one write as well.
//
// An SRAM cannot be cleared at once. After `rst` it is cleared one bit a clock. Between walks it is not cleared at
// all: a walk comes from the same seed each time and so meets exactly the same indices, and each has flipped its bit
// once when the walk is over. So the next walk reads the bits with the opposite meaning: an index is new while its
// bit equals `phase`, and `restart` flips the phase.
//
// `take`: at the next rising edge the raw index is read; the source moves on.
`default_nettype none
module first_sights #(
    parameter integer M = 300,  // 2 or more
    parameter integer WIDTH = $clog2(M)
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             restart,
    input  wire [WIDTH-1:0] raw,
    output wire             take,
    output reg  [WIDTH-1:0] index,
    output wire             valid,
    input  wire             ready
);
    localparam [WIDTH:0] SIZE = M[WIDTH:0];

    reg           seen [0:M-1];
    reg           bit_read;  // the scratch bit of `index`, as it was read
    reg           full;      // `index` and `bit_read` hold something
    reg           again;     // `index` is the one before it, whose write `bit_read` may have missed
    reg           phase;
    reg [WIDTH:0] cleared;   // so many bits are clear; SIZE: ready to walk

    wire clearing = cleared != SIZE;
    wire fresh    = !again && bit_read == phase;

    assign valid = !rst && full && fresh;
    assign take  = !clearing && (!full || !fresh || ready);

    // The memory: a write port and a read port, nothing else.
    wire             write   = clearing || (valid && ready);
    wire [WIDTH-1:0] address = clearing ? cleared[WIDTH-1:0] : index;
    wire             data    = !clearing && !phase;

    always @(posedge clk) if (write) seen[address] <= data;
    always @(posedge clk) if (take) bit_read <= seen[raw];

    always @(posedge clk)
        if (rst) begin
            full    <= 1'b0;
            phase   <= 1'b0;
            cleared <= {(WIDTH + 1){1'b0}};
        end else begin
            if (clearing) cleared <= cleared + 1'b1;
            if (take) begin
                index <= raw;
                again <= full && raw == index;
                full  <= !restart;  // the raw index beside a walk's last one belongs to no walk
            end
            if (restart) phase <= !phase;
        end
endmodule
`default_nettype wire
