module tailrace/binaries/pause

go 1.24.0
