package agenttest

import (
	"bytes"
	"image"
	"image/png"

	"github.com/bothy-computer/bothy/actors/agent"
)

// Picture is a blank picture of this size, as a model is shown it.
func Picture(path string, width, height int) agent.Picture {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		panic(err) // a buffer takes all
	}
	p, _ := agent.PictureOf(path, b.Bytes())
	p.Content = b.Bytes()
	return p
}

// Look is a reply's call and a result that shows pictures.
func Look(pictures ...agent.Picture) []agent.Entry {
	return []agent.Entry{
		{Kind: agent.ToolCall, ID: "c", Step: 1, Call: &agent.Call{ID: "call_a", Name: "read_file", Arguments: `{"path":"a.png"}`}, Stop: agent.StopEnd},
		{Kind: agent.ToolResult, ID: "r", Step: 1, Result: &agent.Result{Call: "call_a", Status: agent.Done, Text: "a picture", Pictures: pictures}},
	}
}
