"""Records on disk, for as long as the collector can't take them: a folder for each gateway process.

    SPOOL_DIR/<gateway id>/lock              held by the process that the folder is of, or that adopted it
                          /calls             calls under way: a table in shared memory, which outlives SIGKILL
                          /<first seq>.seg   records first seq, first seq + 1, …: appended, checksummed
                          /<number>.opened   `spool: always`: what was known of a call when it went upstream

What a killed process left is adopted by the next one that looks: its records are delivered under its own
id, and what it can't have delivered is told to the collector.
"""
