"""What runs leave: folders, and results of clients and of whole runs."""
