// What the guide takes for given of a GWS desktop: a CometD that widgets may use, and a way to put one up.
window.genesys = {
  wwe: {
    get cometd() {
      return cometd;
    },
    service: {
      registerWidget({ id, title, url, width, height }) {
        const frame = Object.assign(document.createElement("iframe"), { id, title, src: url, width, height });
        frame.allow = "microphone; autoplay";
        document.body.append(frame);
      },
    },
  },
};
