"""The gateway under faults of disk, process, network and time; what they show stands in docs/reliability.md."""
