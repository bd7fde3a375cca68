package httpapi_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestAttachments(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	env := c.environmentID("e")
	upload := func(fields string) *reply {
		return c.do("POST", "/attachments/upload", `{"data":"`+base64.StdEncoding.EncodeToString([]byte("a report"))+`"`+fields+`}`)
	}
	var made wire.OneAttachment
	upload(`,"filename":"Q3 report.pdf","mimeType":"application/pdf","environmentId":"` + env + `","folder":"docs"`).is(201).into(&made)
	a := made.Attachment
	if a.Size != 8 || a.Type != "document" || a.EnvironmentID != env || a.WorkspacePath != "/workspace/attachments/"+a.ID+"/docs/Q3 report.pdf" ||
		a.URL != h.URL+"/v1/attachments/"+a.ID {
		t.Fatalf("%+v", a)
	}
	c.do("GET", strings.TrimPrefix(a.URL, h.URL), nil).is(200).says("a report")
	c.do("GET", "/attachments/"+a.ID, nil, "Range", "bytes=2-").is(206).says("report")
	c.do("GET", "/environments/"+env+"/files/attachments/"+a.ID+"/docs/Q3%20report.pdf", nil).is(200).says("a report")

	var thread wire.OneThread
	c.do("POST", "/threads", `{"environmentId":"`+env+`"}`).is(201).into(&thread)
	upload(`,"filename":"x.png","threadId":"` + thread.Thread.ID + `","environmentId":null`).is(201).into(&made)
	if made.Attachment.Type != "image" || made.Attachment.MimeType != "image/png" || made.Attachment.EnvironmentID != env {
		t.Fatalf("%+v", made)
	}
	upload(`,"filename":"y"`).is(201).into(&made) // of the default environment
	if made.Attachment.EnvironmentID == env {
		t.Fatalf("%+v", made)
	}

	_, key := h.NewAccount("rival", 10_000_000)
	as(t, h, key).do("GET", "/attachments/"+a.ID, nil).refused(404, "Attachment")
	as(t, h, key).do("DELETE", "/attachments/"+a.ID, nil).refused(404, "Attachment")
	for fields, says := range map[string]string{
		`,"filename":"a/b"`: "filename", `,"filename":""`: "filename", `,"filename":".."`: "filename", ``: "filename",
		`,"filename":"f","folder":"../x"`: "folder", `,"filename":"f","environmentId":"no id"`: "environmentId", `,"filename":"f","mimeType":"a\nb"`: "mimeType",
	} {
		upload(fields).refused(400, says)
	}
	c.do("POST", "/attachments/upload", `{"filename":"f"}`).refused(400, "data")
	c.do("POST", "/attachments/upload", `{"filename":"f","data":"?"}`).refused(400, "base64")
	upload(`,"filename":"f","environmentId":"env_none"`).refused(404, "nvironment")
	c.do("DELETE", "/attachments/"+a.ID, nil).is(200).says(`{"deleted":true,"attachmentId":"` + a.ID + `"}`)
	c.do("GET", "/attachments/"+a.ID, nil).refused(404, "Attachment")
	c.do("DELETE", "/attachments/"+a.ID, nil).refused(404, "Attachment")
	c.do("GET", "/attachments/none", nil).refused(404, "Attachment")
}

// TestAMessageNamesFiles: what a message says of files is kept, told to the
// model, and found by it.
func TestAMessageNamesFiles(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	env := c.environmentID("e")
	var made wire.OneAttachment
	c.do("POST", "/attachments/upload", `{"filename":"notes.txt","data":"aGVsbG8=","environmentId":"`+env+`"}`).is(201).into(&made)
	attached := `[{"id":"` + made.Attachment.ID + `","filename":"notes.txt","mimeType":"text/plain","size":5,"type":"document","workspacePath":"` + made.Attachment.WorkspacePath + `"}]`
	var ran struct{ Thread wire.Thread }
	c.do("POST", "/threads", `{"environmentId":"`+env+`","stream":false,"content":"`+"```bash\\ncat "+made.Attachment.WorkspacePath[len("/workspace/"):]+"\\n```"+`","attachments":`+attached+`}`).is(200).into(&ran)
	var list wire.List[wire.Message]
	c.do("GET", "/threads/"+ran.Thread.ID+"/messages", nil).is(200).into(&list)
	if len(list.Data) != 2 || !strings.Contains(string(list.Data[0].Attachments), made.Attachment.ID) || strings.Contains(list.Data[0].Content, "attached") ||
		!strings.Contains(list.Data[1].Content, "hello") {
		t.Fatalf("%+v", list.Data)
	}
	for bad, says := range map[string]string{
		`[{"workspacePath":"../x"}]`: "attachments[0].workspacePath", `[{"filename":5}]`: "attachments[0]", `["x"]`: "attachments", `[{},{"size":"1"}]`: "attachments[1]",
	} {
		c.do("POST", "/threads/"+ran.Thread.ID+"/messages", `{"content":"x","attachments":`+bad+`}`).refused(400, says)
	}
}
