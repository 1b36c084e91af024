// What stands in the guide, as it stands there; below it, what the guide takes for given.
let cometd;

function connectGWS(gwsUrl, username, password) {
  // Load CometD library (already in index.html)
  cometd = new org.cometd.CometD();
  
  // Configure
  cometd.configure({
    url: gwsUrl + '/genesys/cometd',
    logLevel: 'info'
  });
  
  // Add authentication extension
  cometd.registerExtension('auth', {
    outgoing: function(message) {
      // Add session token or basic auth
      if (message.channel === '/meta/handshake') {
        message.ext = message.ext || {};
        message.ext.authentication = {
          username: username,
          password: password
        };
      }
      return message;
    }
  });
  
  // Handshake
  cometd.handshake(function(handshakeReply) {
    if (handshakeReply.successful) {
      console.log('CometD connected:', handshakeReply.clientId);
      subscribeToCallEvents();
    } else {
      console.error('CometD handshake failed:', handshakeReply);
    }
  });
}

function subscribeToCallEvents() {
  cometd.subscribe('/v2/me/calls', function(message) {
    console.log('Genesys call event:', message.data);
    
    // Sync with WebRTC SIP client
    const call = message.data.call;
    if (call.state === 'Ringing' && call.direction === 'Inbound') {
      // Show incoming call in WebRTC UI
      updateCallStatus(`Incoming: ${call.from}`);
    }
  });
  
  cometd.subscribe('/v2/me/state', function(message) {
    console.log('Agent state changed:', message.data);
  });
}

// ---------------------------------------------------------------- what the test looks at
window.heard = [];
for (const level of ["log", "error"]) {
  const write = console[level];
  console[level] = (...words) => {
    window.heard.push(words);
    write.apply(console, words);
  };
}

function updateCallStatus(text) {
  document.getElementById("status").textContent = text;
}

/** The guide's REST, behind the login of a GWS desktop: a GET with the password brings the cookie, and names the token. */
async function rest(gwsUrl, user, password, method, path, body) {
  const credentials = "include";
  const me = await fetch(gwsUrl + "/api/v2/me", { credentials, headers: { Authorization: `Basic ${btoa(`${user}:${password}`)}` } });
  const headers = { "Content-Type": "application/json", "X-CSRF-TOKEN": me.headers.get("X-CSRF-TOKEN") ?? "" };
  const answer = await fetch(gwsUrl + path, { method, headers, credentials, body: JSON.stringify(body) });
  return [answer.status, await answer.json()];
}
