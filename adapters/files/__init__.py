"""What all adapters of files share: the keys of a route, picking a file up, putting one down, what doctor looks at.

Each adapter brings a `Remote`, its way to list, read, write and rename; the rest is written once, here.
"""
