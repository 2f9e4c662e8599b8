// etcd, from its own module: etcd publishes a library and no `main` that can be installed at a version.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
