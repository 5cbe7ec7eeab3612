"""What Lethe remembers: files, jobs, the index of clean objects, the audit trail, users. It imports nothing of ours."""
