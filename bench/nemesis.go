package main

import (
	"context"
	"math/rand/v2"

	"github.com/bothy-computer/bothy/bench/nemesis"
)

// nemesis plays for --for, with --seed.
func (b *bench) nemesis(ctx context.Context) error {
	seed := b.seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	return nemesis.Play(ctx, nemesis.Game{Bothy: b.bothy, Base: b.base, Seed: seed, During: b.during, Out: b.out})
}
