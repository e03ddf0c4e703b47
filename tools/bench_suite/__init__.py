# SPDX-License-Identifier: Apache-2.0
"""tools/bench: the same work with this driver and with the in-tree one.

    main     the command line, the order of the rows, progress
    rows_*   the rows of the table: the work, the limit, the bars
    lab      the simulated array of a run and what is on it beforehand
    peer     the parent's side of a driver's process
    worker   the driver's process: runs operations and measures itself
    probes   CPU, memory and held threads, measured inside the worker
    tally    what the array's journal shows of a run
    figures  what a row comes to: values, bars, held or not
    report   the table and the JSON
    plot     the drawing
    rst      the table for the documentation

Nothing here is imported by the driver or by the simulated array.
"""
