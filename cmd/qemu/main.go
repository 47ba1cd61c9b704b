// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

const probeDisk = "probe"

func main() {
	ctx := context.Background()
	os.RemoveAll("/tmp/C-work/scratch")
	os.Mkdir("/tmp/C-work/scratch", 0o755)
	k, err := newKit(ctx, "/tmp/corpus/pairs/plain/qemu/9p-7.2.15/target/qemu-system-x86_64", "/tmp/C-work/scratch")
	if err != nil {
		panic(err)
	}
	t := time.Now()
	g, err := k.boot(ctx, "g", 512)
	if err != nil {
		panic(err)
	}
	fmt.Println("up", time.Since(t), g.pid())
	for range 100 {
		time.Sleep(5 * time.Second)
		fmt.Println(g.mark())
	}
}
