"""One encoder pass, three heads: masks, finding probabilities, report text."""
