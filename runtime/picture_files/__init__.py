"""Picture files of every format, and maps and kernels that are kept in them."""
