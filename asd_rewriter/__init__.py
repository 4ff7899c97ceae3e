"""Task intake and Answer Style Diversification: rows, cards, answer formats, rewriting."""
