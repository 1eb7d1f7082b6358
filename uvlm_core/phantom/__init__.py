"""Seeded synthetic chest and abdomen CT: anatomy, findings, masks, 0/1 labels and report text."""
