"""Takes files from a folder of this machine, and puts files there whole or not at all."""

from adapters.file_folder.folder import FileFolder, FolderConfig

__all__ = ["FileFolder", "FolderConfig"]
