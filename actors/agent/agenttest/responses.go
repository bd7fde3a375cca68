package agenttest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ResponseItem is one item of a scripted reply in the Responses protocol, as
// the events that build it and as it is when done.
type ResponseItem struct {
	deltas func(index int) []string
	done   func(index int) string
}

// Message is words of the model.
func Message(text string) ResponseItem {
	return ResponseItem{
		deltas: func(i int) []string {
			half := len(text) / 2
			return []string{
				fmt.Sprintf(`{"type":"response.output_text.delta","item_id":"msg_%d","output_index":%d,"content_index":0,"delta":%s}`, i, i, quote(text[:half])),
				fmt.Sprintf(`{"type":"response.output_text.delta","item_id":"msg_%d","output_index":%d,"content_index":0,"delta":%s}`, i, i, quote(text[half:])),
			}
		},
		done: func(i int) string {
			return fmt.Sprintf(`{"type":"message","id":"msg_%d","role":"assistant","status":"completed","content":[{"type":"output_text","text":%s,"annotations":[]}]}`, i, quote(text))
		},
	}
}

// FunctionCall is a call of a tool.
func FunctionCall(id, name, arguments string) ResponseItem {
	return ResponseItem{
		deltas: func(i int) []string {
			return []string{fmt.Sprintf(`{"type":"response.function_call_arguments.delta","item_id":"fc_%d","output_index":%d,"delta":%s}`, i, i, quote(arguments))}
		},
		done: func(i int) string {
			return fmt.Sprintf(`{"type":"function_call","id":"fc_%d","call_id":%s,"name":%s,"arguments":%s,"status":"completed"}`, i, quote(id), quote(name), quote(arguments))
		},
	}
}

// Thought is reasoning with a readable summary and encrypted state.
func Thought(summary, encrypted string) ResponseItem {
	return ResponseItem{
		deltas: func(i int) []string {
			return []string{fmt.Sprintf(`{"type":"response.reasoning_summary_text.delta","item_id":"rs_%d","output_index":%d,"summary_index":0,"delta":%s}`, i, i, quote(summary))}
		},
		done: func(i int) string {
			return fmt.Sprintf(`{"type":"reasoning","id":"rs_%d","summary":[{"type":"summary_text","text":%s}],"encrypted_content":%s}`, i, quote(summary), quote(encrypted))
		},
	}
}

// Responses is a whole reply in the Responses protocol. Its usage is 100
// tokens in, of which 40 cached, and 20 out, of which 5 thought.
func Responses(items ...ResponseItem) Turn {
	events := opening()
	var output []string
	for i, item := range items {
		events = append(events, building(i, item)...)
		events = append(events, fmt.Sprintf(`{"type":"response.output_item.done","output_index":%d,"item":%s}`, i, item.done(i)))
		output = append(output, item.done(i))
	}
	events = append(events, fmt.Sprintf(`{"type":"response.completed","response":{"id":"resp_1","object":"response","status":"completed","error":null,"incomplete_details":null,"output":[%s],"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":40},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":120}}}`,
		strings.Join(output, ",")))
	return Turn{Body: Events(events...)}
}

// ResponsesCutIn is a reply of which the connection breaks within the item.
func ResponsesCutIn(item ResponseItem) Turn {
	return Turn{Body: Events(append(opening(), building(0, item)...)...) + "event: response.output_te", Cut: true}
}

// ResponsesIncomplete is a reply that ended early for the reason, with no item
// finished in the stream.
func ResponsesIncomplete(reason, items string) Turn {
	return Turn{Body: Events(append(opening(),
		fmt.Sprintf(`{"type":"response.incomplete","response":{"id":"resp_1","object":"response","status":"incomplete","incomplete_details":{"reason":%s},"output":[%s],"usage":{"input_tokens":100,"output_tokens":7,"total_tokens":107}}}`, quote(reason), items))...)}
}

func opening() []string {
	return []string{
		`{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","output":[]}}`,
		`{"type":"response.in_progress","response":{"id":"resp_1","object":"response","status":"in_progress","output":[]}}`,
	}
}

func building(i int, item ResponseItem) []string {
	return append([]string{fmt.Sprintf(`{"type":"response.output_item.added","output_index":%d,"item":%s}`, i, item.done(i))}, item.deltas(i)...)
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(fmt.Sprintf("agenttest: quote: %v", err))
	}
	return string(quoted)
}
