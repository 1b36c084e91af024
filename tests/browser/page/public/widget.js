// What stands in the guide for a widget within the desktop (its Option 1), as it stands there.
// WebRTC client can access CometD from parent window
const cometd = window.parent.genesys.wwe.cometd;

// Subscribe to call events
cometd.subscribe('/v2/me/calls', function(message) {
  console.log('Call event from Genesys:', message.data);
  
  // Synchronize WebRTC client state
  if (message.data.notificationType === 'StateChange') {
    const call = message.data.call;
    if (call.state === 'Ringing') {
      // Auto-answer in WebRTC client
      webrtcSession.answer();
    }
  }
});
