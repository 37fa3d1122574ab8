"""The flags of TCP (RFC 9293, section 3.1), and the columns of a table of segments."""

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

COLUMNS = (
    "time_ns",
    "order",
    "source",
    "target",
    "source_port",
    "target_port",
    "sequence",
    "acknowledged",
    "flags",
    "length",
    "row",
    "offset",
)
"""Of a segment; ``order`` decides between segments of one time."""
