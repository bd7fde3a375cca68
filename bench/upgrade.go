package main

import (
	"cmp"
	"context"
	"math/rand/v2"

	"github.com/bothy-computer/bothy/bench/nemesis"
)

// upgrade begins with nodes of --from and ends with those of --bothy.
func (b *bench) upgrade(ctx context.Context) error {
	return nemesis.Upgrade(ctx, nemesis.Game{Bothy: b.bothy, Base: b.base, Seed: cmp.Or(b.seed, rand.Uint64()), During: b.during, Out: b.out}, cmp.Or(b.from, b.bothy))
}
