"""Measurements: parity with mteb (`make parity`) and speed (`make bench`). Nothing of the product imports this."""
