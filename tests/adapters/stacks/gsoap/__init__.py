"""gSOAP: its tools, and a program of ours around what they make."""
