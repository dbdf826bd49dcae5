"""Measurements: parity with mteb (`make parity`) and speed (`make bench`).

`make registry` also stands here: it writes what `app.mteb` knows of mteb. Nothing of the product imports this.
"""
