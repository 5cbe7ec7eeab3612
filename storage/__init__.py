"""What Lethe remembers: files, jobs, the index of clean objects, the audit trail, users. Imports nothing else of ours."""
