"""Every WSDL against every other stack: what is exchanged, with whom, what went over the wire.

`python -m tests.adapters.soap_matrix` runs all of it and writes the wire bytes and `matrix.json` again; `--check` says
whether they are there and fit, without running anything. docs/reference/soap.md is made of them.
"""
