"""Roles of the cells in the table of findings, beyond Qt's own."""

NAME_ROLE = 0x0101  # the finding's name, in every cell of its row
SORT_ROLE = 0x0102  # number or text to sort by
FILTER_ROLE = 0x0103  # text to filter by: "+" or "-" for present or not, then all words of the row
PROBABILITY_ROLE, THRESHOLD_ROLE = 0x0104, 0x0105
