package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// maxInitBytes bounds the body of /init.
const maxInitBytes = 1 << 20

// settings are what a request gets when it says nothing else.
type settings struct {
	mu      sync.Mutex
	env     map[string]string
	user    string
	workdir string
}

// initRequest is the body of POST /init. Fields of other hosts are ignored.
type initRequest struct {
	EnvVars        map[string]string `json:"envVars"`
	Hostname       string            `json:"hostname"`
	DefaultUser    string            `json:"defaultUser"`
	DefaultWorkdir string            `json:"defaultWorkdir"`
}

func (r initRequest) validate() error {
	for key, value := range r.EnvVars {
		if key == "" || strings.ContainsAny(key, "=\x00") || strings.ContainsRune(value, 0) {
			return fmt.Errorf("envVars: %q is no variable", key)
		}
	}
	if r.DefaultWorkdir != "" && !strings.HasPrefix(r.DefaultWorkdir, "/") {
		return errors.New("defaultWorkdir must be absolute")
	}
	if len(r.Hostname) > 64 || strings.ContainsAny(r.Hostname, "\x00\n/ ") {
		return errors.New("hostname is no host name of at most 64 bytes")
	}
	return nil
}

// set takes over what r names. Variables replace the earlier ones as a whole,
// and only when given.
func (s *settings) set(r initRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.EnvVars != nil {
		s.env = maps.Clone(r.EnvVars)
	}
	if r.DefaultUser != "" {
		s.user = r.DefaultUser
	}
	if r.DefaultWorkdir != "" {
		s.workdir = r.DefaultWorkdir
	}
}

func (s *settings) defaults() (user, workdir string, env map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user, s.workdir, s.env // env is replaced, never changed
}

func (s *Server) init(w http.ResponseWriter, r *http.Request) {
	var req initRequest
	body := http.MaxBytesReader(w, r.Body, maxInitBytes)
	if err := json.NewDecoder(body).Decode(&req); err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("read the settings: %w", err))
		return
	}
	if err := req.validate(); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	if err := setHostname(req.Hostname); err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	s.settings.set(req)
	w.WriteHeader(http.StatusNoContent)
}

// setHostname does nothing when the name is already so, because a computer
// without CAP_SYS_ADMIN gets its name from the one who made it.
func setHostname(name string) error {
	if now, err := os.Hostname(); name == "" || (err == nil && now == name) {
		return nil
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return nil
}

func (s *Server) envs(w http.ResponseWriter, _ *http.Request) {
	_, _, env := s.settings.defaults()
	if env == nil {
		env = map[string]string{}
	}
	answer(w, env)
}

// failure is the error body of the routes that are not Connect.
type failure struct {
	Message string `json:"message"`
	Code    int    `json:"code"`
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(failure{err.Error(), status}) // a client that is gone cannot be told
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // a client that is gone cannot be told
}
