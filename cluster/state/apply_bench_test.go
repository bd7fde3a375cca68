package state

import (
	"fmt"
	"testing"
)

// benchmarkApply applies prepared commands, gathered as a busy node gathers
// them, to a store in memory: the cost of deciding, without that of a disk.
func benchmarkApply(b *testing.B, gathered int, prepare func(f *fixture), cmd func(i int) Command) {
	f := newFixture(b)
	prepare(f)
	entries := make([][]byte, 0, b.N/gathered+1)
	for i := 0; i < b.N; {
		entry := Entry{Stamp: f.now.UnixNano()}
		for ; len(entry.Proposals) < gathered && i < b.N; i++ {
			p := f.propose(n1, cmd(i))
			p.Acked = p.ID.Counter - min(p.ID.Counter, 100)
			entry.Proposals = append(entry.Proposals, p)
		}
		e, err := Encode(entry)
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, e)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, e := range entries {
		f.index++
		done, err := Apply(f.store, f.index, e)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range done.Results {
			if r.Fault != nil {
				b.Fatal(r.Err())
			}
		}
	}
}

func BenchmarkApplyStartRun(b *testing.B) {
	benchmarkApply(b, 32, func(*fixture) {}, func(i int) Command {
		return startRun(ThreadID(fmt.Sprint("thread_", i)), RunID(fmt.Sprint("run_", i)), 1)
	})
}

func BenchmarkApplyAppend(b *testing.B) {
	benchmarkApply(b, 32, func(f *fixture) {
		f.claim(comp, n1)
		f.startRun("thread_1", "run_1", 1)
	}, func(i int) Command {
		return Append{Thread: "thread_1", Run: "run_1", Epoch: 1, FirstSeq: uint64(i + 1),
			Events: []Event{{Kind: EventText, Item: "item_1", Text: "the words of a tenth of a second"}}}
	})
}
