package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/bothy-computer/bothy/runtime/image"
)

// pageTime bounds each look at a page.
const pageTime = 30 * time.Second

// pageHouse is three nodes and computers that are looked at through a node that
// does not own them.
type pageHouse struct {
	t     *testing.T
	nodes []*process
	far   *process
	tab   context.Context
	// wrong is what the browser complains of.
	mu    sync.Mutex
	wrong []string
}

// TestThePageOfAComputer uses a computer as a person does, in Chromium.
func TestThePageOfAComputer(t *testing.T) {
	t.Parallel()
	h := &pageHouse{t: t, nodes: launch(t, "n1", "n2", "n3")}
	id, owner := h.nodes[0].makeComputer("box")
	h.farFrom(owner)
	h.browse()
	s := h.open("box", "browser")
	h.types()
	h.returns()
	h.uploads(id)
	h.downloads()
	h.seesProcesses()
	h.isCut(s)
	h.seesADesktop()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.wrong) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(h.wrong, "\n"))
	}
}

func (h *pageHouse) farFrom(owner string) {
	for _, p := range h.nodes {
		if p.name != owner {
			h.far = p
		}
	}
}

// browse starts a browser.
func (h *pageHouse) browse() {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1100, 700))
	all, end := chromedp.NewExecAllocator(context.WithoutCancel(h.t.Context()), options...)
	tab, closeTab := chromedp.NewContext(all)
	h.tab = tab
	if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil { // which starts it, for as long as tab is
		h.t.Fatal(err)
	}
	thrown, logged := chromedp.Events(tab, runtime.ExceptionThrown), chromedp.Events(tab, log.EntryAdded)
	var heard sync.WaitGroup
	heard.Go(func() {
		for ev, err := range thrown {
			if err == nil {
				h.complains(ev.ExceptionDetails.Text + " " + ev.ExceptionDetails.Exception.Description)
			}
		}
	})
	heard.Go(func() {
		for ev, err := range logged {
			if err == nil && strings.Contains(ev.Entry.Text, "Content Security Policy") {
				h.complains(ev.Entry.Text)
			}
		}
	})
	h.t.Cleanup(func() { closeTab(); end(); heard.Wait() })
}

func (h *pageHouse) complains(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, what)
}

// do does things on the page, and says what was there if they fail.
func (h *pageHouse) do(actions ...chromedp.Action[chromedp.Void]) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.tab, pageTime)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		h.t.Fatalf("%v\nthe page says: %s", err, h.text("body"))
	}
}

// asked is what an expression is on the page.
func (h *pageHouse) asked(expression string) (string, error) {
	ctx, cancel := context.WithTimeout(h.tab, pageTime)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](expression))
}

// text is what an element shows, or why that cannot be told.
func (h *pageHouse) text(selector string) string {
	text, err := h.asked(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
	if err != nil {
		return err.Error()
	}
	return text
}

// shows waits until an element shows a text.
func (h *pageHouse) shows(selector, want string) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("%s shows %q", selector, want), pageTime, func() error {
		if got := h.text(selector); !strings.Contains(got, want) {
			return fmt.Errorf("it shows %q", got)
		}
		return nil
	})
}

// pageSession is an access session on the wire.
type pageSession struct {
	Session struct {
		ID  string
		URL string `json:"access_url"`
	}
}

// open makes a session and follows its link from a page of another site, as
// from a letter.
func (h *pageHouse) open(computer, kind string) (s pageSession) {
	h.t.Helper()
	h.far.api(http.MethodPost, "/computers/"+computer+"/access-sessions", map[string]string{"kind": kind}, http.StatusCreated, &s)
	letter := "data:text/html," + url.PathEscape(`<a href="`+s.Session.URL+`">open</a>`)
	h.do(chromedp.Navigate(letter), chromedp.Click(chromedp.CSS("a")))
	eventually(h.t, "the page opens", pageTime, func() error {
		at, err := h.asked("location.href + ' ' + document.title")
		if err != nil {
			return err
		}
		if !strings.HasPrefix(at, h.far.url+"/c/") || strings.Contains(at, "access_token") || strings.Contains(at, "No session") {
			return fmt.Errorf("at %s", at)
		}
		return nil
	})
	return s
}

const terminalRows = ".xterm-rows"

// enter types a line into the terminal. A key that the page takes types no
// character, as with a real keyboard; that is why SendKeys is not used, which
// sends both.
func (h *pageHouse) enter(line string) {
	h.t.Helper()
	h.do(chromedp.Focus(chromedp.CSS(".xterm-helper-textarea")), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for _, r := range line + "\r" {
			var down, up *input.DispatchKeyEventParams
			for _, ev := range kb.Encode(r) {
				switch ev.Type {
				case input.DispatchKeyEventTypeKeyUp:
					up = ev
				case input.DispatchKeyEventTypeChar:
					down.Text, down.UnmodifiedText = ev.Text, ev.UnmodifiedText
				default:
					down = ev
				}
			}
			down.Type = input.DispatchKeyEventTypeKeyDown
			for _, ev := range []*input.DispatchKeyEventParams{down, up} {
				if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, *ev); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

func (h *pageHouse) types() {
	h.shows("#state", "running")
	h.shows("#terminal-state", "Shell")
	h.enter("x=kept; echo $((6*7))-answer")
	h.shows(terminalRows, "42-answer")
	h.enter("stty size; tty")
	h.shows(terminalRows, "/dev/pts/")
	if text := h.text(terminalRows); strings.Contains(text, "\n24 80\n") {
		h.t.Errorf("the terminal has not the page's size: %s", text)
	}
}

// returns loads the page again: its shell went on, and shows what it showed.
func (h *pageHouse) returns() {
	shell := h.text("#terminal-state")
	h.do(chromedp.Reload())
	h.shows(terminalRows, "42-answer")
	h.shows("#terminal-state", shell)
	h.enter("echo $x-still")
	h.shows(terminalRows, "kept-still")
}

const reportName = "a report, ü & more.bin"

// report is longer than what goes in one piece.
var report = sync.OnceValue(func() []byte {
	b := make([]byte, 3<<20+7)
	rand.Read(b)
	return b
})

func (h *pageHouse) uploads(id string) {
	at := filepath.Join(h.t.TempDir(), reportName)
	if err := os.WriteFile(at, report(), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.do(chromedp.Click(chromedp.CSS("#tab-files")), chromedp.SetUploadFiles(chromedp.CSS("#chosen-files"), []string{at}))
	h.shows("#entries", reportName)
	sum := sha256.Sum256(report())
	if got := h.far.runIn(id, "sha256sum", "/workspace/"+reportName); !strings.HasPrefix(got, hex.EncodeToString(sum[:])) {
		h.t.Errorf("what arrived is another: %s", got)
	}
	if got := h.far.runIn(id, "ls", "-A", "/workspace"); strings.Contains(got, ".upload") {
		h.t.Errorf("left behind: %s", got)
	}
}

func (h *pageHouse) downloads() {
	dir := h.t.TempDir()
	listening, stop := context.WithTimeout(h.tab, pageTime)
	defer stop()
	progress := chromedp.Events(listening, browser.DownloadProgress)
	told := true
	h.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: dir, EventsEnabled: &told})
		return err
	}), chromedp.Click(chromedp.CSS("#entries a")))
	for ev, err := range progress {
		if err != nil {
			h.t.Fatalf("the download does not end: %v", err)
		}
		if ev.State == browser.DownloadProgressStateInProgress {
			continue
		}
		got, err := os.ReadFile(filepath.Join(dir, ev.GUID))
		if err != nil || ev.State != browser.DownloadProgressStateCompleted || !bytes.Equal(got, report()) {
			h.t.Errorf("%s, %d bytes, %v", ev.State, len(got), err)
		}
		return
	}
	h.t.Error("there is no download")
}

func (h *pageHouse) seesProcesses() {
	h.do(chromedp.Click(chromedp.CSS("#tab-processes")))
	h.shows("#running", "login")
	h.do(chromedp.Click(chromedp.CSS("#tab-ports")))
	h.shows("#published", "No port is published")
}

// isCut revokes the session at another node.
func (h *pageHouse) isCut(s pageSession) {
	h.do(chromedp.Click(chromedp.CSS("#tab-terminal")))
	for _, p := range h.nodes {
		if p != h.far {
			p.api(http.MethodDelete, "/computers/box/access-sessions/"+s.Session.ID, nil, http.StatusNoContent, nil)
			break
		}
	}
	h.shows("#terminal-state", "session has ended")
	h.do(chromedp.Reload())
	h.shows("h1", "No session")
}

// seesADesktop looks at a computer whose image has a display.
func (h *pageHouse) seesADesktop() {
	archive := screenImage(h.t)
	if out, code := h.nodes[0].bothy("images", "import", "screen", archive); code != 0 {
		h.t.Fatalf("import: %d %s", code, out)
	}
	_, owner := h.nodes[0].makeComputerOf("show", "screen")
	h.farFrom(owner)
	h.open("show", "vnc")
	h.drawn("42,157,143")
	h.do(chromedp.Focus(chromedp.CSS("#desktop canvas")), chromedp.KeyEvent(kb.Enter))
	h.drawn("231,111,81")
}

// drawn waits until the middle of the desktop has a colour.
func (h *pageHouse) drawn(want string) {
	h.t.Helper()
	const look = `(() => { const c = document.querySelector("#desktop canvas"); if (!c) return "no canvas";
		return c.getContext("2d").getImageData(c.width / 2, c.height / 2, 1, 1).data.slice(0, 3).join() + " of " + c.width; })()`
	eventually(h.t, "the desktop is "+want, pageTime, func() error {
		got, err := h.asked(look)
		if err != nil {
			return err
		}
		if got != want+" of 320" {
			return fmt.Errorf("it is %s: %s", got, h.text("#said"))
		}
		return nil
	})
}

// screenImage makes an image of one program, which is its display, as docker
// save writes it.
func screenImage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	layer := tarOf(t, map[string][]byte{"screen": programOf(t, "screen"), "etc/passwd": []byte("root:x:0:0::/:/bin/sh\n"), "etc/group": []byte("root:x:0:\n")})
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{"os": "linux", "architecture": goruntime.GOARCH,
		"config": map[string]any{"Labels": map[string]string{image.DesktopLabel: "/screen"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}}})
	if err != nil {
		t.Fatal(err)
	}
	manifest := []byte(`[{"Config":"config.json","RepoTags":["screen:1"],"Layers":["layer.tar"]}]`)
	at := filepath.Join(dir, "screen.tar")
	if err := os.WriteFile(at, tarOf(t, map[string][]byte{"manifest.json": manifest, "config.json": config, "layer.tar": layer}), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// programOf builds a program of the tests that needs nothing of its image.
func programOf(t *testing.T, name string) []byte {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func tarOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
