package fake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/bothy-computer/bothy/runtime"
)

var _ runtime.Builder = (*Builder)(nil)

// Builder makes images of records only. Without a play it tells the steps of a
// Dockerfile, one for each line that begins with an instruction, and makes an
// image at once. The zero value makes images that nobody has.
type Builder struct {
	// For is the machine that has what is kept; nil is none.
	For *Driver

	mu     sync.Mutex
	play   BuildFunc
	builds []BuildCall
}

// BuildFunc plays a build: it writes to b.Log, and returns when ctx is done. A
// digest of "" is DigestOf.
type BuildFunc func(ctx context.Context, b runtime.Build) (digest string, err error)

// BuildCall is one call of a Builder.
type BuildCall struct {
	Epoch runtime.Epoch
	runtime.Build
}

// Play sets what builds do; nil is the default.
func (b *Builder) Play(f BuildFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.play = f
}

// Builds returns the calls so far, oldest first.
func (b *Builder) Builds() []BuildCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.builds)
}

// Build implements runtime.Builder.
func (b *Builder) Build(ctx context.Context, epoch runtime.Epoch, build runtime.Build) (string, error) {
	b.mu.Lock()
	b.builds = append(b.builds, BuildCall{epoch, build})
	play := b.play
	b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if play == nil {
		play = tellSteps
	}
	digest, err := play(ctx, build)
	if err != nil {
		return "", err
	}
	if digest == "" {
		digest = DigestOf(build.Dockerfile)
	}
	if build.Name != "" && b.For != nil {
		b.For.AddImage(digest)
	}
	return digest, nil
}

// DigestOf is the digest of the image that a Dockerfile makes.
func DigestOf(dockerfile string) string {
	sum := sha256.Sum256([]byte(dockerfile))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func tellSteps(_ context.Context, b runtime.Build) (string, error) {
	var steps []string
	for line := range strings.SplitSeq(b.Dockerfile, "\n") {
		if word, _, _ := strings.Cut(line, " "); word != "" && word == strings.ToUpper(word) && word[0] >= 'A' && word[0] <= 'Z' {
			steps = append(steps, line)
		}
	}
	for i, step := range steps {
		if _, err := fmt.Fprintf(b.Log, "Step %d/%d: %s\n", i+1, len(steps), step); err != nil {
			return "", err
		}
	}
	return "", nil
}

// Saying plays a build that writes text and then ends with err.
func Saying(text string, err error) BuildFunc {
	return func(_ context.Context, b runtime.Build) (string, error) {
		if _, failed := io.WriteString(b.Log, text); failed != nil {
			return "", failed
		}
		return "", err
	}
}

// Holding plays a build that writes text, goes on when release is closed, and
// then ends as next does; nil is the default.
func Holding(text string, release <-chan struct{}, next BuildFunc) BuildFunc {
	if next == nil {
		next = tellSteps
	}
	return func(ctx context.Context, b runtime.Build) (string, error) {
		if _, err := io.WriteString(b.Log, text); err != nil {
			return "", err
		}
		select {
		case <-release:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		return next(ctx, b)
	}
}
