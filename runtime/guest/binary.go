package guest

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed embedded
var embedded embed.FS

// Binary returns the static executable that runs as a computer's first
// process: `guest --fd 3`. Without it in the build the error says what to do.
func Binary() ([]byte, error) {
	data, err := embedded.ReadFile("embedded/guest")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this binary was built without the guest: build it with `make build`")
	}
	if err != nil {
		return nil, fmt.Errorf("read the embedded guest: %w", err)
	}
	return data, nil
}
