"""What a config will take, before it runs: jobs, time, disk, memory. `ikem estimate` prints it."""
