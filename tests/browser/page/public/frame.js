// frame.html?src=PAGE&allow=microphone: shows the page in a frame, as a widget of a foreign desktop.
const asked = new URLSearchParams(location.search);
const frame = document.createElement("iframe");
frame.id = "phone";
frame.src = asked.get("src");
frame.allow = asked.get("allow") ?? "";
frame.width = "300";
frame.height = "500";
document.body.append(frame);
