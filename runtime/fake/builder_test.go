package fake_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

func TestABuilderTellsStepsAndAddsItsImage(t *testing.T) {
	d := fake.New(fake.Options{Room: runtime.Capacity{Images: []string{"host"}}})
	b := &fake.Builder{For: d}
	var log strings.Builder
	build := runtime.Build{Dockerfile: "FROM host\n# a remark\nRUN one && \\\n  two\n", Name: "env-x:1", Log: &log}
	digest, err := b.Build(t.Context(), 3, build)
	if err != nil || digest != fake.DigestOf(build.Dockerfile) {
		t.Fatalf("%s, %v", digest, err)
	}
	if err := d.Create(t.Context(), 1, runtime.Spec{ID: id, Image: digest}); err != nil {
		t.Fatalf("its machine has no such image: %v", err)
	}
	if want := "Step 1/2: FROM host\nStep 2/2: RUN one && \\\n"; log.String() != want {
		t.Fatalf("said %q, want %q", log.String(), want)
	}
	if calls := b.Builds(); len(calls) != 1 || calls[0].Epoch != 3 || calls[0].Name != "env-x:1" {
		t.Fatalf("calls %+v", calls)
	}
}

func TestABuilderFailsAndWaitsAsItIsPlayed(t *testing.T) {
	b := &fake.Builder{}
	var log strings.Builder
	b.Play(fake.Saying("oops\n", &runtime.BuildFailure{Reason: "broken"}))
	var failed *runtime.BuildFailure
	if _, err := b.Build(t.Context(), 1, runtime.Build{Log: &log}); !errors.As(err, &failed) || failed.Reason != "broken" || log.String() != "oops\n" {
		t.Fatalf("%v after %q", err, log.String())
	}
	release := make(chan struct{})
	b.Play(fake.Holding("", release, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Build(ctx, 1, runtime.Build{Log: &log}); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	close(release)
	if digest, err := b.Build(t.Context(), 1, runtime.Build{Log: &log}); err != nil || digest == "" {
		t.Fatalf("%q, %v", digest, err)
	}
}

func TestBuildsAreHeldAtOnce(t *testing.T) {
	b := &fake.Builder{}
	release := make(chan struct{})
	b.Play(fake.Holding("", release, nil))
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := b.Build(t.Context(), 1, runtime.Build{Dockerfile: "FROM host\n", Log: io.Discard}); err != nil {
				t.Error(err)
			}
		})
	}
	close(release)
	all.Wait()
}
